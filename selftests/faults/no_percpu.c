// SPDX-License-Identifier: GPL-2.0-only
/*
 * While this module is loaded, ctxstat gets no per-CPU memory. The kernel's fault injection
 * cannot do that: it refuses pages, and per-CPU memory needs one only if there is no room on
 * those that it has.
 *
 * The parameter "refused" tells what was refused: "FUNCTION+OFFSET/SIZE [ctxstat] TIMES", a
 * line for each place that asked.
 */
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

static struct {
	unsigned long caller;
	atomic_t times;
} places[8];

static int refused_get(char *buffer, const struct kernel_param *kp)
{
	size_t i;
	int length = 0;

	for (i = 0; i < ARRAY_SIZE(places) && READ_ONCE(places[i].caller); i++)
		length += scnprintf(buffer + length, PAGE_SIZE - length,
				    "%pS %d\n", (void *)places[i].caller,
				    atomic_read(&places[i].times));
	return length;
}

static const struct kernel_param_ops refused_ops = { .get = refused_get };
module_param_cb(refused, &refused_ops, NULL, 0444);
MODULE_PARM_DESC(refused, "which places were refused memory, and how often");

/* Instead of the kernel's function, with the same caller. */
static noinline void *none(void)
{
	return NULL;
}

/* On entry: the caller's address is on top of the stack. */
static int refuse(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long caller = *(unsigned long *)regs->sp;
	char symbol[KSYM_SYMBOL_LEN];
	size_t i;

	sprint_symbol(symbol, caller);
	if (!strstr(symbol, "[ctxstat]"))
		return 0;
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		cmpxchg(&places[i].caller, 0, caller);
		if (places[i].caller == caller) {
			atomic_inc(&places[i].times);
			break;
		}
	}
	regs->ip = (unsigned long)none;
	return 1;
}

/* A probe that has one may change where to go on. */
static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = {
	.pre_handler = refuse,
	.post_handler = after,
};

static int __init no_percpu_init(void)
{
	/* from 6.10 on, and before */
	static const char *const names[] = { "pcpu_alloc_noprof", "__alloc_percpu_gfp" };
	int err = -ENOENT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names) && err; i++) {
		probe.symbol_name = names[i];
		probe.addr = NULL;
		probe.flags = 0;
		err = register_kprobe(&probe);
	}
	return err;
}

static void __exit no_percpu_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(no_percpu_init);
module_exit(no_percpu_exit);
MODULE_DESCRIPTION("Refuse ctxstat all per-CPU memory");
MODULE_LICENSE("GPL");

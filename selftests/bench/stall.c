// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a packet has to wait while something else is done on its CPU. Packets are
 * received in softirqs, which wait for whoever has bottom halves or interrupts off.
 * So a timer whose callback runs in a softirq, too, is the probe: the time from when
 * it expires to when its callback runs. A second timer, whose callback is called at once,
 * counts how often it has interrupted a program, and how often the kernel working for one.
 *
 * A CPU that idles has nobody wait: what interrupts the idle task is not counted.
 *
 * Written to parameters/period, a number of nanoseconds starts the timers on the writer's
 * CPU, the first time after parameters/phase, and 0 stops them. Then the other parameters
 * are the results.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <asm/irq_regs.h>

static unsigned long period, phase, probes, longest, sum, in_user, in_kernel;
static struct hrtimer timer, sampler;

static enum hrtimer_restart probe(struct hrtimer *t)
{
	unsigned long delay = ktime_to_ns(ktime_sub(ktime_get(), hrtimer_get_expires(t)));
	/* Packets that come meanwhile; each waits for a period less than that before it. */
	unsigned long more = delay / period;

	if (!is_idle_task(current)) {
		probes += 1 + more;
		sum += (1 + more) * delay - more * (more + 1) / 2 * period;
		longest = max(longest, delay);
	}
	hrtimer_add_expires_ns(t, (1 + more) * period);
	return HRTIMER_RESTART;
}

static enum hrtimer_restart sample(struct hrtimer *t)
{
	struct pt_regs *regs = get_irq_regs();

	if (regs && user_mode(regs))
		in_user++;
	else if (!is_idle_task(current))
		in_kernel++;
	hrtimer_set_expires(t, ktime_add_ns(ktime_get(), period));
	return HRTIMER_RESTART;
}

static int period_set(const char *value, const struct kernel_param *param)
{
	int err;

	hrtimer_cancel(&timer);
	hrtimer_cancel(&sampler);
	err = param_set_ulong(value, param);
	if (err || !period)
		return err;
	probes = 0;
	longest = 0;
	sum = 0;
	in_user = 0;
	in_kernel = 0;
	hrtimer_start(&sampler, ns_to_ktime(phase), HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&timer, ns_to_ktime(phase), HRTIMER_MODE_REL_PINNED_SOFT);
	return 0;
}

static const struct kernel_param_ops period_ops = {
	.set = period_set,
	.get = param_get_ulong,
};

module_param_cb(period, &period_ops, &period, 0644);
module_param(phase, ulong, 0644);
module_param(probes, ulong, 0444);
module_param(longest, ulong, 0444);
module_param(sum, ulong, 0444);
module_param(in_user, ulong, 0444);
module_param(in_kernel, ulong, 0444);

static int __init stall_init(void)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_SOFT);
	timer.function = probe;
	hrtimer_init(&sampler, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	sampler.function = sample;
	return 0;
}

static void __exit stall_exit(void)
{
	hrtimer_cancel(&sampler);
	hrtimer_cancel(&timer);
}

module_init(stall_init);
module_exit(stall_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Measure for how long softirqs do not run");

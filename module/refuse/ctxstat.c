// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands in for ctxstat on a kernel that it cannot run on: it refuses to load and says
 * why. ../dkms.sh builds it, and says what it is good for.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/module.h>
#include <linux/printk.h>

#include "reason.h"

static int __init ctxstat_refuse(void)
{
	pr_err("not loaded: " CTXSTAT_REASON "; use another kernel, or a newer ctxstat\n");
	/* The one error that does not make systemd-modules-load fail at boot. */
	return -ENODEV;
}
module_init(ctxstat_refuse);

MODULE_DESCRIPTION("ctxstat, which cannot run on this kernel");
MODULE_LICENSE("GPL");

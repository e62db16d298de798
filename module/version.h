/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_VERSION_H
#define CTXSTAT_VERSION_H

/* Equal to PACKAGE_VERSION in dkms.conf: a test compares them. */
#define CTXSTAT_VERSION "0.1.0"

#endif /* CTXSTAT_VERSION_H */

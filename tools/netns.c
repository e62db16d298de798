// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctxstat.h"

/* Where "ip netns add" and others put the names. */
#define NETNS_DIR "/run/netns"

static int complain_netns(const char *name, int error)
{
	if (error == ENOENT)
		complain("no network namespace \"%s\" in " NETNS_DIR "; list them with: ip netns", name);
	else if (error == EPERM || error == EACCES)
		complain("network namespace \"%s\": permission denied; entering one needs CAP_SYS_ADMIN, try as root",
			 name);
	else if (error == EINVAL)
		complain(NETNS_DIR "/%s is no network namespace", name);
	else
		complain("network namespace \"%s\": %s", name, strerror(error));
	return EXIT_READ;
}

int netns_enter(const char *name)
{
	char *path;
	int fd, error = 0;

	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")) {
		complain("\"%s\" is no name of a network namespace; list them with: ip netns", name);
		return EXIT_USAGE;
	}
	if (asprintf(&path, NETNS_DIR "/%s", name) < 0)
		return complain_netns(name, ENOMEM);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		error = errno;
	if (fd >= 0)
		close(fd);
	free(path);
	return error ? complain_netns(name, error) : EXIT_OK;
}

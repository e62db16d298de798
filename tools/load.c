// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctxstat.h"

/* The module's largest table has some 5 kB. */
#define FILE_SIZE_MAX (1 << 20)

static int complain_open(const struct options *opt, const char *name, int error)
{
	const char *dir = opt->proc_dir;
	bool recorded = strcmp(dir, DEFAULT_PROC_DIR);

	if (error == EACCES && !strcmp(name, "audit"))
		complain("%s/%s: permission denied; only root may read it, try: sudo ctxstat audit",
			 dir, name);
	else if (error == EACCES || error == EPERM)
		complain("%s/%s: permission denied; try as root", dir, name);
	else if (error == ENOENT && access(dir, F_OK) && recorded)
		complain("%s: not found; --proc-dir takes a directory of recorded tables", dir);
	else if (error == ENOENT && access(dir, F_OK))
		complain("%s: not found; is the module loaded? try: modprobe ctxstat", dir);
	else if (error == ENOENT && !recorded)
		complain("%s/%s: not found; is the module older than this tool? see: modinfo ctxstat",
			 dir, name);
	else if (error == ENOENT || error == ENOTDIR)
		complain("%s/%s: not found; record it with: cat %s/%s", dir, name,
			 DEFAULT_PROC_DIR, name);
	else
		complain("%s/%s: cannot read: %s; look for the reason with: dmesg", dir, name,
			 strerror(error));
	return EXIT_READ;
}

/* Return: bytes read, or -1 with errno. */
static ssize_t read_all(int fd, char *buf, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while (len < room) {
		n = read(fd, buf + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		len += n;
	}
	return len;
}

int load_file(const struct options *opt, const char *name, struct span *in)
{
	char *path, *buf;
	ssize_t len;
	int fd, error;

	if (asprintf(&path, "%s/%s", opt->proc_dir, name) < 0)
		return complain_open(opt, name, ENOMEM);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = errno;
	free(path);
	if (fd < 0)
		return complain_open(opt, name, error);

	buf = malloc(FILE_SIZE_MAX);
	len = buf ? read_all(fd, buf, FILE_SIZE_MAX) : -1;
	error = errno;
	close(fd);
	if (len == FILE_SIZE_MAX)
		error = EFBIG;
	if (len < 0 || len == FILE_SIZE_MAX) {
		free(buf);
		return complain_open(opt, name, error);
	}
	in->p = buf;
	in->len = len;
	return EXIT_OK;
}

int complain_garbled(const struct options *opt, const char *name, const struct parse_error *err)
{
	char where[32] = "";

	if (err->line)
		snprintf(where, sizeof(where), "line %lu: ", err->line);
	complain("%s/%s: %s%s; is \"ctxstat --version\" the same as \"modinfo -F version ctxstat\"?",
		 opt->proc_dir, name, where, err->what);
	return EXIT_GARBLED;
}

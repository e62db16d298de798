// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctxstat.h"

/* All ports of five protocols at once take 30 MB. */
#define FILE_SIZE_MAX (64 << 20)
/* A page that is touched costs more than a short table that is read twice. */
#define FILE_SIZE_FIRST (4 << 10)

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

static bool more_room(struct span *in, size_t *room)
{
	char *buf;

	if (*room >= FILE_SIZE_MAX) {
		errno = EFBIG;
		return false;
	}
	*room = *room ? *room * 2 : FILE_SIZE_FIRST;
	buf = realloc((char *)in->p, *room);
	if (buf)
		in->p = buf;
	return buf;
}

/* Return: whether all is in @in; if not, errno tells why. */
static bool read_all(int fd, struct span *in)
{
	size_t room = 0;
	ssize_t n;

	do {
		if (in->len == room && !more_room(in, &room))
			return false;
		n = read(fd, (char *)in->p + in->len, room - in->len);
		if (n > 0)
			in->len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return !n;
}

int load_file(const struct options *opt, const char *name, struct span *in)
{
	int fd, error;
	char *path;
	bool ok;

	memset(in, 0, sizeof(*in));
	path = malloc(strlen(opt->proc_dir) + strlen("/") + strlen(name) + 1);
	if (!path)
		return complain_open(opt, name, ENOMEM);
	stpcpy(stpcpy(stpcpy(path, opt->proc_dir), "/"), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = errno;
	free(path);
	if (fd < 0)
		return complain_open(opt, name, error);

	ok = read_all(fd, in);
	error = errno;
	close(fd);
	if (ok)
		return EXIT_OK;
	free((char *)in->p);
	memset(in, 0, sizeof(*in));
	return complain_open(opt, name, error);
}

int load_table(const struct options *opt, const struct table_desc *desc, struct table *table)
{
	struct parse_error err;
	struct span in;
	int ret;

	memset(table, 0, sizeof(*table));
	ret = load_file(opt, desc->name, &in);
	if (ret)
		return ret;
	if (!parse_table(in, desc, table, &err))
		ret = complain_garbled(opt, desc->name, &err);
	table->buf = (char *)in.p;
	return ret;
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

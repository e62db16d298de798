// SPDX-License-Identifier: GPL-2.0-only
/* The metrics in a file, as node_exporter's textfile collector wants it: all or nothing. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctxstat.h"

static int complain_write(const char *path, int error)
{
	complain("cannot write %s: %s", path, strerror(error));
	return EXIT_WRITE;
}

/* Return: EXIT_OK if all of it is on the disk. */
static int write_file(const struct options *opt, const char *path, int fd)
{
	FILE *out = fdopen(fd, "w");
	int ret;

	if (!out) {
		close(fd);
		return complain_write(path, errno);
	}
	ret = prometheus_write(opt, out);
	if (!ret && (fflush(out) || ferror(out) || fchmod(fileno(out), 0644) || fsync(fileno(out))))
		ret = complain_write(path, errno);
	if (fclose(out) && !ret)
		ret = complain_write(path, errno);
	return ret;
}

/* A device or a link, such as /dev/stdout, would be gone for all others. */
static int check_output(const char *path)
{
	struct stat st;

	if (lstat(path, &st) || S_ISREG(st.st_mode))
		return EXIT_OK;
	complain("--output=%s: is no regular file, and would be replaced by one", path);
	return EXIT_USAGE;
}

/* Who reads the file meanwhile sees the old one or the new one, never a part. */
static int replace_file(const struct options *opt)
{
	char *path;
	int fd, ret = check_output(opt->output);

	if (ret)
		return ret;
	if (asprintf(&path, "%s.XXXXXX", opt->output) < 0)
		return complain_write(opt->output, ENOMEM);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		ret = complain_write(path, errno);
		free(path);
		return ret;
	}
	ret = write_file(opt, path, fd);
	if (!ret && rename(path, opt->output))
		ret = complain_write(opt->output, errno);
	if (ret)
		unlink(path);
	free(path);
	return ret;
}

int textfile_write(const struct options *opt)
{
	sigset_t signals, before;
	int ret;

	/* They wait for the moment that it takes: nothing half-written is to stay. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	ret = replace_file(opt);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}

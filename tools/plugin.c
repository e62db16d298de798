// SPDX-License-Identifier: GPL-2.0-only
/*
 * Most of what a short program costs is loading libraries: those that only one subcommand
 * or one format needs are linked to a shared object of its own, ctxstat-NAME.so, which is
 * loaded when it is asked for. It uses the functions of the program, which exports them.
 */
#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"

/* Where the program is; empty if /proc does not say. */
static void program_folder(char folder[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	char *slash;

	folder[len > 0 ? len : 0] = '\0';
	slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
}

static bool is_there(const char *folder, const char *name, char path[PATH_MAX])
{
	int len = snprintf(path, PATH_MAX, "%s/ctxstat-%s.so", folder, name);

	return *folder && len < PATH_MAX && !access(path, F_OK);
}

/* Beside the program first: that of a tree that is not installed is its own. */
static bool find(const char *name, char path[PATH_MAX])
{
	char beside[PATH_MAX];

	program_folder(beside);
	if (is_there(beside, name, path) || is_there(PLUGINDIR, name, path))
		return true;
	complain("ctxstat-%s.so is missing: it is neither in %s nor in " PLUGINDIR
		 "; install all of ctxstat again", name, *beside ? beside : "the program's folder");
	return false;
}

/* It stays until the end. Return: NULL after a message. */
static const struct plugin *load(const char *name)
{
	const struct plugin *found = NULL;
	char path[PATH_MAX];
	void *handle;

	if (!find(name, path))
		return NULL;
	handle = dlopen(path, RTLD_NOW);
	if (handle)
		found = dlsym(handle, "plugin");
	if (!found) {
		complain("%s cannot be loaded: %s; is all installed that it needs? see: ldd %s", path,
			 dlerror(), path);
		return NULL;
	}
	if (strcmp(found->version, CTXSTAT_VERSION)) {
		complain("%s is of version %s, and this is " CTXSTAT_VERSION "; install all of ctxstat again",
			 path, found->version);
		return NULL;
	}
	return found;
}

const struct json_writer *plugin_json(void)
{
	static const struct plugin *json;

	if (!json)
		json = load("json");
	return json ? json->json : NULL;
}

static int run(const char *name, const struct options *opt)
{
	const struct plugin *subcommand = load(name);

	return subcommand ? subcommand->run(opt) : EXIT_SYSTEM;
}

int top_run(const struct options *opt)
{
	return run("top", opt);
}

int exporter_run(const struct options *opt)
{
	return run("exporter", opt);
}

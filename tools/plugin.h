/* SPDX-License-Identifier: GPL-2.0-only */
/* What is loaded only when it is asked for: see plugin.c. */
#ifndef CTXSTAT_PLUGIN_H
#define CTXSTAT_PLUGIN_H

#include "json.h"

/**
 * struct plugin - what a plugin shows the program, as its symbol "plugin"
 * @version: of the sources that it was built from
 * @run: the subcommand, if it is one
 * @json: what it writes, if it is that
 */
struct plugin {
	const char *version;
	int (*run)(const struct options *opt);
	const struct json_writer *json;
};

extern const struct plugin plugin;

/**
 * plugin_json() - the plugin that writes JSON
 *
 * Return: what it can do, or NULL after a message: EXIT_SYSTEM.
 */
const struct json_writer *plugin_json(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Output as JSON; ctxstat(8) documents the formats. */
#ifndef CTXSTAT_JSON_H
#define CTXSTAT_JSON_H

#include "output.h"

/* Raised when a program that reads the JSON could no longer do so. */
#define JSON_SCHEMA 1

/**
 * struct json_number - a member of an object
 * @name: its name
 * @text: the number as it is to be written, or empty: not known
 */
struct json_number {
	const char *name;
	char text[CELL_MAX];
};

/**
 * struct json_writer - functions of the plugin that is linked with json-c
 * @listing: see output_listing()
 * @keys: see output_keys()
 * @numbers: a line with an object of numbers
 *
 * All return EXIT_OK, or EXIT_SYSTEM after a message.
 */
struct json_writer {
	int (*listing)(const struct listing *listing);
	int (*keys)(const char *name, double when, const struct field_desc *keys,
		    const struct field *fields, size_t n, struct span in);
	int (*numbers)(const struct json_number *numbers, size_t n);
};

#endif

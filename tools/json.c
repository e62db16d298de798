// SPDX-License-Identifier: GPL-2.0-only
/* A plugin, as only it needs json-c. */
#include <json-c/json.h>

#include "plugin.h"

static int out_of_memory(void)
{
	complain("out of memory");
	return EXIT_SYSTEM;
}

/* What is not known, or not there, is null. */
static struct json_object *value_of(enum field_kind kind, const struct field *f)
{
	if (!f->known)
		return NULL;
	if (is_number(kind))
		return json_object_new_uint64(f->num);
	return json_object_new_string_len(f->text.p, f->text.len);
}

static void begin(const char *name, double when, const char *what)
{
	printf("{\"schema\":%d,\"table\":\"%s\",\"time\":%.3f,\"%s\":", JSON_SCHEMA, name, when, what);
}

/* Takes @object. */
static bool print(struct json_object *object)
{
	const char *text = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN)
				  : NULL;
	bool printed = text && fputs(text, stdout) >= 0;

	json_object_put(object);
	return printed || ferror(stdout);
}

static bool print_row(const struct table_desc *desc, const struct field *row)
{
	struct json_object *object = json_object_new_object();
	size_t col;

	for (col = 0; object && col < desc->n; col++)
		json_object_object_add(object, desc->columns[col].name,
				       value_of(desc->columns[col].kind, &row[col]));
	return print(object);
}

/* Row by row, as there may be a hundred thousand of them. */
static int write_listing(const struct listing *listing)
{
	const struct table_desc *desc = listing->table->desc;
	size_t i;

	begin(desc->name, listing->snap->wall, "rows");
	putchar('[');
	for (i = 0; i < listing->n; i++) {
		fputs(i ? ",\n" : "\n", stdout);
		if (!print_row(desc, table_row(listing->table, listing->rows[i])))
			return out_of_memory();
	}
	puts("]}");
	return EXIT_OK;
}

static struct json_object *lines_value(struct span in, const char *key)
{
	struct json_object *lines = json_object_new_array();
	struct span value;

	while (lines && output_next_value(&in, key, &value))
		json_object_array_add(lines, json_object_new_string_len(value.p, value.len));
	return lines;
}

static int write_keys(const char *name, double when, const struct field_desc *keys,
		     const struct field *fields, size_t n, struct span in)
{
	struct json_object *object = json_object_new_object();
	size_t i;

	for (i = 0; object && i < n; i++)
		json_object_object_add(object, keys[i].name, keys[i].kind == FIELD_LINES ?
				       lines_value(in, keys[i].name) :
				       value_of(keys[i].kind, &fields[i]));
	begin(name, when, "values");
	if (!print(object))
		return out_of_memory();
	puts("}");
	return EXIT_OK;
}

/* json-c writes a double that was given with its text as that text. */
static int write_numbers(const struct json_number *numbers, size_t n)
{
	struct json_object *object = json_object_new_object(), *number;
	size_t i;

	if (object)
		json_object_object_add(object, "schema", json_object_new_int(JSON_SCHEMA));
	for (i = 0; object && i < n; i++) {
		number = *numbers[i].text ? json_object_new_double_s(0, numbers[i].text) : NULL;
		json_object_object_add(object, numbers[i].name, number);
	}
	if (!print(object))
		return out_of_memory();
	putchar('\n');
	return EXIT_OK;
}

static const struct json_writer writer = {
	.listing = write_listing,
	.keys = write_keys,
	.numbers = write_numbers,
};

const struct plugin plugin = { .version = CTXSTAT_VERSION, .json = &writer };

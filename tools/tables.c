// SPDX-License-Identifier: GPL-2.0-only
#include "tables.h"

#define COLUMNS_OF(array) .columns = (array), .n = sizeof(array) / sizeof((array)[0])

static const struct field_desc states_columns[STATES_COLUMNS] = {
	[STATES_FAMILY]		= { "family", FIELD_TEXT, "FAMILY" },
	[STATES_L4PROTO]	= { "l4proto", FIELD_TEXT, "PROTO" },
	[STATES_STATE]		= { "state", FIELD_TEXT, "STATE" },
	[STATES_ENTRIES]	= { "entries", FIELD_GAUGE, "ENTRIES" },
	[STATES_UNREPLIED]	= { "unreplied", FIELD_GAUGE, "UNREPLIED" },
	[STATES_ASSURED]	= { "assured", FIELD_GAUGE, "ASSURED" },
	[STATES_SNAT]		= { "snat", FIELD_GAUGE, "SNAT" },
	[STATES_DNAT]		= { "dnat", FIELD_GAUGE, "DNAT" },
	[STATES_ENTERED]	= { "entered", FIELD_COUNTER, "ENTERED" },
	[STATES_LEFT]		= { "left", FIELD_COUNTER, "LEFT" },
	[STATES_PEAK]		= { "peak", FIELD_PEAK, "PEAK" },
	[STATES_PEAK_TIME]	= { "peak_time", FIELD_TIME, "PEAK_TIME" },
};

static const struct field_desc ports_columns[PORTS_COLUMNS] = {
	[PORTS_L4PROTO]		= { "l4proto", FIELD_TEXT, "PROTO" },
	[PORTS_PORT]		= { "port", FIELD_ID, "PORT" },
	[PORTS_ENTRIES]		= { "entries", FIELD_GAUGE, "ENTRIES" },
	[PORTS_UNREPLIED]	= { "unreplied", FIELD_GAUGE, "UNREPLIED" },
	[PORTS_OPENED]		= { "opened", FIELD_COUNTER, "OPENED" },
	[PORTS_ANSWERED]	= { "answered", FIELD_COUNTER, "ANSWERED" },
	[PORTS_CLOSED]		= { "closed", FIELD_COUNTER, "CLOSED" },
	[PORTS_FAILED]		= { "failed", FIELD_COUNTER, "FAILED" },
	[PORTS_PACKETS]		= { "packets", FIELD_COUNTER, "PACKETS" },
	[PORTS_BYTES]		= { "bytes", FIELD_COUNTER, "BYTES" },
	[PORTS_ADOPTED]		= { "adopted", FIELD_COUNTER, "ADOPTED" },
};

static const struct field_desc transitions_columns[TRANSITIONS_COLUMNS] = {
	[TRANSITIONS_FAMILY]	= { "family", FIELD_TEXT, "FAMILY" },
	[TRANSITIONS_L4PROTO]	= { "l4proto", FIELD_TEXT, "PROTO" },
	[TRANSITIONS_FROM]	= { "from", FIELD_TEXT, "FROM" },
	[TRANSITIONS_TO]	= { "to", FIELD_TEXT, "TO" },
	[TRANSITIONS_COUNT]	= { "count", FIELD_COUNTER, "COUNT" },
};

static const struct field_desc ends_columns[ENDS_COLUMNS] = {
	[ENDS_FAMILY]		= { "family", FIELD_TEXT, "FAMILY" },
	[ENDS_L4PROTO]		= { "l4proto", FIELD_TEXT, "PROTO" },
	[ENDS_STATE]		= { "state", FIELD_TEXT, "STATE" },
	[ENDS_REASON]		= { "reason", FIELD_TEXT, "REASON" },
	[ENDS_COUNT]		= { "count", FIELD_COUNTER, "COUNT" },
};

static const struct field_desc histograms_columns[HISTOGRAMS_COLUMNS] = {
	[HISTOGRAMS_L4PROTO]	= { "l4proto", FIELD_TEXT, "PROTO" },
	[HISTOGRAMS_WHAT]	= { "what", FIELD_TEXT, "WHAT" },
	[HISTOGRAMS_LE]		= { "le", FIELD_TEXT, "LE" },
	[HISTOGRAMS_COUNT]	= { "count", FIELD_COUNTER, "COUNT" },
	[HISTOGRAMS_SUM]	= { "sum", FIELD_COUNTER, "SUM" },
};

const struct table_desc table_descs[TABLES] = {
	[TABLE_STATES]		= { "states", COLUMNS_OF(states_columns), .keys = 3 },
	[TABLE_PORTS]		= { "ports", COLUMNS_OF(ports_columns), .keys = 2,
				    .may_be_empty = true },
	[TABLE_TRANSITIONS]	= { "transitions", COLUMNS_OF(transitions_columns), .keys = 4,
				    .may_be_empty = true },
	[TABLE_ENDS]		= { "ends", COLUMNS_OF(ends_columns), .keys = 4,
				    .may_be_empty = true },
	[TABLE_HISTOGRAMS]	= { "histograms", COLUMNS_OF(histograms_columns), .keys = 3 },
};

const struct field_desc summary_keys[SUM_KEYS] = {
	[SUM_FORMAT]			= { "format", FIELD_ID, "format" },
	[SUM_ENTRIES]			= { "entries", FIELD_GAUGE, "entries" },
	[SUM_MAX]			= { "max", FIELD_GAUGE, "limit" },
	[SUM_COUNT]			= { "count", FIELD_GAUGE, "kernel count" },
	[SUM_PEAK]			= { "peak_entries", FIELD_PEAK, "peak" },
	[SUM_PEAK_TIME]			= { "peak_time", FIELD_TIME, "peak at" },
	[SUM_CREATED]			= { "created", FIELD_COUNTER, "created" },
	[SUM_ADOPTED]			= { "adopted", FIELD_COUNTER, "adopted" },
	[SUM_DESTROYED]			= { "destroyed", FIELD_COUNTER, "destroyed" },
	[SUM_INSERT_FAILED]		= { "insert_failed", FIELD_COUNTER, "insert failed" },
	[SUM_PEAK_RATE]			= { "peak_rate", FIELD_PEAK, "peak new/s" },
	[SUM_PEAK_RATE_TIME]		= { "peak_rate_time", FIELD_TIME, "peak new/s at" },
	[SUM_BUCKETS]			= { "buckets", FIELD_GAUGE, "buckets" },
	[SUM_ENTRY_SIZE]		= { "entry_size", FIELD_GAUGE, "bytes an entry" },
	[SUM_PORT_MEMORY]		= { "port_memory", FIELD_GAUGE, "bytes for ports" },
	[SUM_PORT_MEMORY_MAX]		= { "port_memory_max", FIELD_GAUGE, "at most" },
	[SUM_PORT_OVERFLOW]		= { "port_overflow", FIELD_COUNTER, "not in ports" },
	[SUM_ACCT]			= { "acct", FIELD_GAUGE, "accounting" },
	[SUM_TIMESTAMP]			= { "timestamp", FIELD_GAUGE, "timestamps" },
	[SUM_START_TIME]		= { "start_time", FIELD_TIME, "counting since" },
	[SUM_VERSION]			= { "version", FIELD_TEXT, "module version" },
	[SUM_INSERT_FAILED_TCP]		= { "insert_failed_tcp", FIELD_COUNTER, "tcp" },
	[SUM_INSERT_FAILED_UDP]		= { "insert_failed_udp", FIELD_COUNTER, "udp" },
	[SUM_INSERT_FAILED_UDPLITE]	= { "insert_failed_udplite", FIELD_COUNTER, "udplite" },
	[SUM_INSERT_FAILED_ICMP]	= { "insert_failed_icmp", FIELD_COUNTER, "icmp" },
	[SUM_INSERT_FAILED_ICMPV6]	= { "insert_failed_icmpv6", FIELD_COUNTER, "icmpv6" },
	[SUM_INSERT_FAILED_SCTP]	= { "insert_failed_sctp", FIELD_COUNTER, "sctp" },
	[SUM_INSERT_FAILED_DCCP]	= { "insert_failed_dccp", FIELD_COUNTER, "dccp" },
	[SUM_INSERT_FAILED_GRE]		= { "insert_failed_gre", FIELD_COUNTER, "gre" },
	[SUM_INSERT_FAILED_OTHER]	= { "insert_failed_other", FIELD_COUNTER, "other" },
	[SUM_KERNEL_FOUND]		= { "kernel_found", FIELD_COUNTER, "found" },
	[SUM_KERNEL_INVALID]		= { "kernel_invalid", FIELD_COUNTER, "invalid" },
	[SUM_KERNEL_INSERT]		= { "kernel_insert", FIELD_COUNTER, "insert" },
	[SUM_KERNEL_INSERT_FAILED]	= { "kernel_insert_failed", FIELD_COUNTER, "insert failed" },
	[SUM_KERNEL_DROP]		= { "kernel_drop", FIELD_COUNTER, "drop" },
	[SUM_KERNEL_EARLY_DROP]		= { "kernel_early_drop", FIELD_COUNTER, "early drop" },
	[SUM_KERNEL_ERROR]		= { "kernel_error", FIELD_COUNTER, "error" },
	[SUM_KERNEL_SEARCH_RESTART]	= { "kernel_search_restart", FIELD_COUNTER, "search restart" },
	[SUM_KERNEL_CLASH_RESOLVE]	= { "kernel_clash_resolve", FIELD_COUNTER, "clash resolve" },
	[SUM_KERNEL_CHAINTOOLONG]	= { "kernel_chaintoolong", FIELD_COUNTER, "chain too long" },
};

const struct field_desc audit_keys[AUDIT_KEYS] = {
	[AUDIT_SEEN]		= { "entries_seen", FIELD_GAUGE, "entries found by walking the table" },
	[AUDIT_COUNTED]		= { "entries_counted", FIELD_GAUGE, "entries counted before the walk" },
	[AUDIT_COUNT]		= { "count", FIELD_GAUGE, "the kernel's own count" },
	[AUDIT_DIFFER]		= { "cells_differ", FIELD_GAUGE, "counters that differed" },
	[AUDIT_HEALED]		= { "entries_healed", FIELD_GAUGE, "entries put right" },
	[AUDIT_LEFT]		= { "cells_left", FIELD_GAUGE, "counters that still differ" },
	[AUDIT_PORTS_DIFFER]	= { "ports_differ", FIELD_GAUGE, "ports that differed" },
	[AUDIT_PORTS_LEFT]	= { "ports_left", FIELD_GAUGE, "ports that still differ" },
	[AUDIT_NOT_IN_PORTS]	= { "entries_not_in_ports", FIELD_GAUGE, "entries without memory for ports" },
	[AUDIT_DIFFERENCE]	= { "difference", FIELD_LINES, NULL },
	[AUDIT_PORT_DIFFERENCE]	= { "port_difference", FIELD_LINES, NULL },
};

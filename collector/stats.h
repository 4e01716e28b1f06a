/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - the collector's counters about itself: whoever does the work adds to a field, /metrics
 * prints the list. Rows of one metric stand together. One struct, owned by collector.c.
 */
#ifndef MEMHERD_COLLECTOR_STATS_H
#define MEMHERD_COLLECTOR_STATS_H

#include <stdint.h>

/* X(field, metric without 'memherd_', labels, kind, scale, help): value times scale is printed. */
#define COLLECTOR_STAT_LIST(X)                                                                    \
	X(ingest_batches, "ingest_batches_total", "", counter, 1, "batches committed")            \
	X(ingest_bytes, "ingest_bytes_total", "", counter, 1, "bytes of batches committed")       \
	X(ingest_fenced, "ingest_fenced_total", "", counter, 1,                                   \
	  "batches refused because their agent has a newer connection")                           \
	X(ingest_rejected, "ingest_rejected_total", "", counter, 1, "frames that were refused")   \
	X(ingest_lag_us, "ingest_lag_seconds", "", gauge, 1e-6,                                   \
	  "age of the oldest batch that is not committed")                                        \
	X(queued_bytes, "ingest_queue_bytes", "", gauge, 1, "memory of batches that wait")        \
	X(db_away_us, "database_away_seconds", "", gauge, 1e-6,                                   \
	  "how long nothing can be stored now")                                                   \
	X(agents_slowed, "ingest_slowed_total", "", counter, 1,                                   \
	  "times that an agent sent faster than agent_rate")                                      \
	X(db_errors, "database_errors_total", "", counter, 1, "statements that failed")           \
	X(replica_used, "replica_used", "", gauge, 1, "1: history is read from the standby now")  \
	X(replica_lag_us, "replica_lag_seconds", "", gauge, 1e-6,                                 \
	  "how far the standby was behind when last looked at")                                   \
	X(replica_falls, "replica_left_total", "", counter, 1,                                    \
	  "times that the standby was given up")                                                  \
	X(replica_retried, "replica_retried_total", "", counter, 1,                               \
	  "reads that failed there and went to the database")                                     \
	X(adopted, "adopted_windows_total", "", counter, 1,                                       \
	  "windows sealed for a collector that is gone")                                          \
	X(adopt_errors, "adopt_errors_total", "", counter, 1,                                     \
	  "attempts at that which failed and are made again")                                     \
	X(alerts_log, "alerts_firing", "severity=\"log\"", gauge, 1, "alerts that fire now")      \
	X(alerts_mail, "alerts_firing", "severity=\"mail\"", gauge, 1, "alerts that fire now")    \
	X(alerts_trim, "alerts_firing", "severity=\"trim\"", gauge, 1, "alerts that fire now")    \
	X(trims_done, "actions_total", "type=\"trim\",result=\"done\"", counter, 1,               \
	  "actions that ended")                                                                   \
	X(trims_ineffective, "actions_total", "type=\"trim\",result=\"ineffective\"", counter, 1, \
	  "actions that ended")                                                                   \
	X(trims_refused, "actions_total", "type=\"trim\",result=\"refused\"", counter, 1,         \
	  "actions that ended")                                                                   \
	X(trims_failed, "actions_total", "type=\"trim\",result=\"failed\"", counter, 1,           \
	  "actions that ended")                                                                   \
	X(mails_sent, "mails_total", "result=\"sent\"", counter, 1, "mails by outcome")           \
	X(mails_failed, "mails_total", "result=\"failed\"", counter, 1, "mails by outcome")

struct collector_stats {
#define X(field, metric, labels, kind, scale, help) uint64_t field;
	COLLECTOR_STAT_LIST(X)
#undef X
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/api.h"
#include "collector/api/pulse.h"
#include "collector/api/resource.h"
#include "collector/stats.h"
#include "common/clock.h"

/* A minute of unstored samples is what an agent's spool is sure to hold. */
#define LAG_MAX_US (60 * USEC_PER_SEC)

void health_get(struct call *c)
{
	jw_object(&c->json);
	jw_k_str(&c->json, "status", "ok");
	jw_k_str(&c->json, "version", MEMHERD_VERSION);
	jw_object_end(&c->json);
	call_reply(c, 200);
}

void ready_get(struct call *c)
{
	const struct api_context *x = &c->api->ctx;
	const char *why = NULL;

	if (!api_db(c->api))
		why = pulse_trouble(c->api->pulse);
	else if (x->stats && x->stats->ingest_lag_us > LAG_MAX_US)
		why = "samples wait longer than a minute to be stored";
	jw_object(&c->json);
	jw_k_bool(&c->json, "ready", !why);
	jw_k_str(&c->json, "reason", why);
	jw_object_end(&c->json);
	call_reply(c, why ? 503 : 200);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h - the handlers behind the route table, one file a resource. Each ends its call
 * (call.h).
 */
#ifndef MEMHERD_COLLECTOR_API_RESOURCE_H
#define MEMHERD_COLLECTOR_API_RESOURCE_H

#include "collector/api/call.h"

/* health.c */
void health_get(struct call *c);
void ready_get(struct call *c);
/* metrics.c */
void metrics_get(struct call *c);
/* fleet.c */
void fleet_get(struct call *c);
void store_get(struct call *c);
/* hosts.c */
void host_list(struct call *c);
void host_get(struct call *c);
void host_services(struct call *c);
/* processes.c */
void host_processes(struct call *c);
void process_list(struct call *c);
void process_get(struct call *c);
/* series.c */
void host_series(struct call *c);
void process_series(struct call *c);
void cgroup_series(struct call *c);
/* cgroups.c */
void host_cgroups(struct call *c);
/* service_list.c */
void service_list(struct call *c);
/* service.c */
void service_get(struct call *c);
/* gc.c */
void process_gc(struct call *c);
/* censuses.c */
void process_censuses(struct call *c);
void process_types(struct call *c);
void census_get(struct call *c);
void census_diff(struct call *c);
void census_growth(struct call *c);
/* snapshots.c */
void snapshot_list(struct call *c);
void snapshot_get(struct call *c);
void snapshot_diff(struct call *c);
/* oom_events.c */
void oom_event_list(struct call *c);
void oom_event_get(struct call *c);
/* events.c */
void event_list(struct call *c);
/* alerts.c */
void alert_list(struct call *c);
void alert_get(struct call *c);
void alert_ack(struct call *c);
/* maintenance.c */
void maintenance_list(struct call *c);
void maintenance_set(struct call *c);
void maintenance_end(struct call *c);
/* breakers.c */
void breaker_list(struct call *c);
void breaker_close(struct call *c);
/* actions.c */
void action_list(struct call *c);
void action_get(struct call *c);
void action_issue(struct call *c);
/* approvals.c */
void action_approve(struct call *c);
void action_cancel(struct call *c);
/* tokens.c */
void token_list(struct call *c);
void token_add(struct call *c);
void token_revoke(struct call *c);
/* enroll_tokens.c */
void enroll_token_list(struct call *c);
void enroll_token_add(struct call *c);
void enroll_token_revoke(struct call *c);
/* audit.c */
void audit_list(struct call *c);
void audit_verify(struct call *c);
/* rules.c */
void rules_get(struct call *c);
void rules_check(struct call *c);
/* login.c */
void login_get(struct call *c);
void login_link_add(struct call *c);
void logout_post(struct call *c);
/* assets.c */
void asset_get(struct call *c);
void openapi_get(struct call *c);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself, apart from route.c so that a test can link that without every resource. */
#include "collector/api/resource.h"
#include "collector/api/route.h"

#define V1 "/api/v1"

const struct route route_table[] = {
	{HTTP_GET, "/", SCOPE_PUBLIC, asset_get, "the dashboard"},
	{HTTP_GET, "/login", SCOPE_PUBLIC, login_get, "trade a one-time login for a session"},
	{HTTP_GET, "/healthz", SCOPE_PUBLIC, health_get, "is the process alive"},
	{HTTP_GET, "/readyz", SCOPE_PUBLIC, ready_get, "can it do its work"},
	{HTTP_GET, "/metrics", SCOPE_READ, metrics_get, "OpenMetrics"},
	{HTTP_GET, V1 "/openapi.json", SCOPE_PUBLIC, openapi_get, "this interface, described"},
	{HTTP_GET, V1 "/healthz", SCOPE_PUBLIC, health_get, "is the process alive"},
	{HTTP_GET, V1 "/readyz", SCOPE_PUBLIC, ready_get, "can it do its work"},
	{HTTP_GET, V1 "/fleet", SCOPE_READ, fleet_get, "counts and the worst hosts"},
	{HTTP_GET, V1 "/hosts", SCOPE_READ, host_list, "hosts"},
	{HTTP_GET, V1 "/hosts/{id}", SCOPE_READ, host_get, "one host"},
	{HTTP_GET, V1 "/hosts/{id}/processes", SCOPE_READ, host_processes, "its processes"},
	{HTTP_GET, V1 "/hosts/{id}/services", SCOPE_READ, host_services, "its services"},
	{HTTP_GET, V1 "/hosts/{id}/series", SCOPE_READ, host_series,
	 "one of its metrics over time"},
	{HTTP_GET, V1 "/processes/{id}", SCOPE_READ, process_get, "one process"},
	{HTTP_GET, V1 "/processes/{id}/series", SCOPE_READ, process_series, "a metric over time"},
	{HTTP_GET, V1 "/events", SCOPE_READ, event_list, "what happened"},
	{HTTP_GET, V1 "/alerts", SCOPE_READ, alert_list, "alerts"},
	{HTTP_GET, V1 "/alerts/{id}", SCOPE_READ, alert_get, "one alert"},
	{HTTP_POST, V1 "/alerts/{id}/ack", SCOPE_ACT | SCOPE_RULES_WRITE, alert_ack, "acknowledge"},
	{HTTP_GET, V1 "/actions", SCOPE_READ, action_list, "actions"},
	{HTTP_GET, V1 "/actions/{id}", SCOPE_READ, action_get, "one action"},
	{HTTP_POST, V1 "/actions", SCOPE_ACT, action_issue, "act on a process"},
	{HTTP_GET, V1 "/enroll-tokens", SCOPE_ENROLL, enroll_token_list, "enrolment tokens"},
	{HTTP_POST, V1 "/enroll-tokens", SCOPE_ENROLL, enroll_token_add, "make one"},
	{HTTP_DELETE, V1 "/enroll-tokens/{id}", SCOPE_ENROLL, enroll_token_revoke, "end one"},
	{HTTP_GET, V1 "/tokens", SCOPE_ADMIN, token_list, "API tokens"},
	{HTTP_POST, V1 "/tokens", SCOPE_ADMIN, token_add, "make one"},
	{HTTP_DELETE, V1 "/tokens/{id}", SCOPE_ADMIN, token_revoke, "end one"},
	{HTTP_GET, V1 "/audit", SCOPE_ADMIN, audit_list, "who did what; hash-chained"},
	{HTTP_GET, V1 "/rules", SCOPE_READ, rules_get, "rules and their state"},
	{HTTP_POST, V1 "/rules/check", SCOPE_READ, rules_check, "would this text be accepted"},
	{HTTP_POST, V1 "/login-links", SCOPE_ADMIN, login_link_add, "a one-time login"},
	{HTTP_POST, V1 "/logout", SCOPE_READ, logout_post, "end this session"},
	{HTTP_GET, "/{file}", SCOPE_PUBLIC, asset_get, "a file of the dashboard"},
	{.pattern = NULL},
};

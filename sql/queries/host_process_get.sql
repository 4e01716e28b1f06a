-- SPDX-License-Identifier: Apache-2.0
-- A process by its number alone: one look-up a host.
SELECT
    p.host_id::int4, h.name::text, p.proc_id::int8, p.pid::int4, p.ppid::int4, p.uid::int8, p.comm::text,
    p.cmdline::text, p.exe::text, p.cgroup::text, p.service::text, p.first_seen::timestamptz,
    p.last_seen::timestamptz, p.start_ticks::int8, p.container::text, p.role::text, p.slot::int4,
    p.cause::text, p.confidence::text, p.verdict::text, coalesce(p.exit_code, -1)::int4,
    coalesce(p.exit_signal, 0)::int4
FROM host h, LATERAL (SELECT * FROM process o WHERE o.host_id = h.host_id AND o.proc_id = $1::int8) p
LIMIT 1

-- SPDX-License-Identifier: Apache-2.0
-- A kill by its number alone (one look-up a host), with its dossier and what happened around it: who
-- the victim was, actions of the hour before, starts, exits and kills of its service in the day
-- before, alerts that were open. Its events are gathered by themselves: where they are distributed, the rest is elsewhere.
WITH k AS MATERIALIZED (
    SELECT o.* FROM host h, LATERAL (SELECT * FROM oom_kill o WHERE o.host_id = h.host_id AND o.kill_id = $1::int8) o LIMIT 1
), around AS MATERIALIZED (
    SELECT e.ts, e.kind, e.host_id, e.proc_id, e.doc
      FROM event e
     WHERE e.host_id = (SELECT k.host_id FROM k) AND (SELECT k.service FROM k) <> ''
       AND e.ts < (SELECT k.ts FROM k) AND e.ts > (SELECT k.ts FROM k) - interval '24 hours'
       AND e.kind IN ('start', 'exit', 'oom_kill') AND e.doc->>'service' = (SELECT k.service FROM k)
)
SELECT
    k.kill_id::int8, k.ts::timestamptz, k.host_id::int4, h.name::text,
    k.cause::text, k.confidence::text, k.oom::bool, k.complete::bool, k.replayed::bool,
    coalesce(k.proc_id, 0)::int8, coalesce(k.pid, 0)::int4, k.comm::text, k.service::text,
    k.container::text, coalesce(k.rss, -1)::int8, k.limit_cgroup::text, k.limit_owner::text,
    coalesce(k.limit_bytes, -1)::int8, (CASE own.said WHEN '' THEN k.verdict ELSE rtrim(k.verdict, '.') || own.said || '.' END)::text,
    coalesce(k.doc->'growers'->0->>'service', k.doc->'growers'->0->>'comm', '')::text, k.doc::text,
    coalesce((SELECT jsonb_build_object('cmdline', p.cmdline, 'exe', p.exe, 'cgroup', p.cgroup,
                                        'uid', nullif(p.uid, -1), 'role', nullif(p.role, ''),
                                        'slot', nullif(p.slot, 0),
                                        'first_seen', mh_time(p.first_seen),
                                        'last_seen', mh_time(p.last_seen))
                FROM process p WHERE p.host_id = k.host_id AND p.proc_id = k.proc_id),
             'null'::jsonb)::text,
    (SELECT coalesce(jsonb_agg(a.doc ORDER BY a.created DESC), '[]')
       FROM (SELECT c.created,
                    jsonb_build_object('id', c.cmd_id, 'time', mh_time(c.created), 'type', c.action,
                                       'state', c.state, 'dry_run', c.dry_run,
                                       'process_id', c.proc_id::text, 'pid', c.pid,
                                       'comm', p.comm, 'service', nullif(p.service, ''),
                                       'actor', c.actor, 'reason', c.reason) AS doc
               FROM command c
               LEFT JOIN process p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
              WHERE c.host_id = k.host_id AND c.created <= k.ts
                AND c.created > k.ts - interval '1 hour'
              ORDER BY c.created DESC
              LIMIT 20) a)::text,
    (SELECT jsonb_build_object(
                'starts', count(*) FILTER (WHERE s.kind = 'start'),
                'exits', count(*) FILTER (WHERE s.kind = 'exit'),
                'kills', count(*) FILTER (WHERE s.kind = 'oom_kill'),
                'events', coalesce(jsonb_agg(s.doc ORDER BY s.ts DESC) FILTER (WHERE s.n <= 50), '[]'))
       FROM (SELECT e.ts, e.kind, row_number() OVER (ORDER BY e.ts DESC) AS n,
                    jsonb_build_object('time', mh_time(e.ts), 'kind', e.kind,
                                       'process_id', e.proc_id::text, 'pid', e.doc->'pid',
                                       'comm', e.doc->'comm',
                                       'verdict', coalesce(e.doc->>'verdict', p.verdict)) AS doc
               FROM around e
               LEFT JOIN process p ON p.host_id = e.host_id AND p.proc_id = e.proc_id) s)::text,
    (SELECT coalesce(jsonb_agg(a.doc), '[]')
       FROM (SELECT jsonb_build_object('id', l.alert_id::text, 'rule', l.rule, 'title', l.title,
                                       'level', l.level, 'opened', mh_time(l.opened)) AS doc
               FROM alert l
              WHERE l.host_id = k.host_id AND l.opened <= k.ts
                AND (l.resolved IS NULL OR l.resolved >= k.ts)
              ORDER BY l.opened DESC
              LIMIT 20) a)::text
FROM k JOIN host h ON h.host_id = k.host_id,
    LATERAL (SELECT mh_own_limit(k.host_id, k.limit_cgroup, k.limit_bytes, k.proc_id, k.ts) AS said) own
LIMIT 1

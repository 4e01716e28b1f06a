-- SPDX-License-Identifier: Apache-2.0
-- A kill at a limit that an action of ours had set (limit, kind max) says so.

-- '; the limit was set by memherd action ...' for a kill in that cgroup at that limit; '' = by nobody that we
-- know. Limits are set in whole pages, for a time, and may be taken back up to 15 s after it.
CREATE FUNCTION mh_own_limit(kill_host int4, kill_cgroup text, kill_limit int8, victim int8,
                             at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT format('; the limit was set by memherd action %s, asked for by %s', c.cmd_id, c.actor)
          FROM command AS c
          LEFT JOIN process AS p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
         WHERE kill_cgroup <> '' AND c.host_id = kill_host AND c.action = 'limit' AND NOT c.dry_run
           AND c.state IN ('done', 'ineffective') AND c.params->>'kind' = 'max'
           AND c.created <= at AND at <= coalesce(c.done, c.created)
                                         + ((c.params->>'for')::int8 + 15) * interval '1 second'
           AND (p.cgroup = kill_cgroup OR c.proc_id = victim)
           AND coalesce(kill_limit, 0) IN (0, (c.params->>'bytes')::int8 / 4096 * 4096)
         ORDER BY c.created DESC
         LIMIT 1), '')
$$;

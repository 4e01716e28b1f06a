-- SPDX-License-Identifier: Apache-2.0
-- What an action gave back is measured again later, and what it is likely to give is told before.

ALTER TABLE command ADD effects jsonb;        -- array of {after_seconds, ts, process_id, pid, rss_bytes, pss_bytes}
ALTER TABLE command ADD verdict text;         -- EFFECT_VERDICT_LIST's words, once the last one was measured
ALTER TABLE command ADD verify_next timestamptz; -- when to measure next; NULL = nothing (more) to measure
ALTER TABLE command ADD history text NOT NULL DEFAULT ''; -- what the same gave before, as it stood when this was asked for
CREATE INDEX command_verify ON command (verify_next) WHERE verify_next IS NOT NULL;
CREATE INDEX command_history ON command (host_id, action, created DESC) WHERE NOT dry_run;

CREATE FUNCTION mh_mib(b int8) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN b = 0 THEN '0' WHEN b >= 10 * 1048576 THEN round(b / 1048576.0)::text ELSE round(b / 1048576.0, 1)::text END
$$;

-- The last three actions of that kind on the same service (without one: the same program) of the host,
-- as a sentence; '' = there were none.
CREATE FUNCTION mh_action_history(host int4, what text, process int8) RETURNS text
LANGUAGE sql STABLE AS $$
    WITH target AS (
        SELECT p.service, p.comm FROM process AS p WHERE p.host_id = host AND p.proc_id = process
    ), recent AS (
        SELECT c.proc_id, c.rss_before, c.rss_after, c.verdict, c.created
          FROM command AS c
         WHERE c.host_id = host AND c.action = what AND NOT c.dry_run
           AND c.state IN ('done', 'ineffective') AND c.rss_before > 0 AND c.rss_after >= 0
         ORDER BY c.created DESC
         LIMIT 100
    ), same AS (
        SELECT greatest(r.rss_before - r.rss_after, 0) AS freed, r.verdict
          FROM recent AS r
          JOIN process AS p ON p.host_id = host AND p.proc_id = r.proc_id
          JOIN target AS t ON p.service = t.service AND (t.service <> '' OR p.comm = t.comm)
         ORDER BY r.created DESC
         LIMIT 3
    ), sums AS (
        SELECT count(*) AS n, min(freed) AS least, max(freed) AS most,
               count(*) FILTER (WHERE verdict = 'regrew') AS regrew FROM same
    )
    SELECT CASE WHEN n = 0 THEN ''
           ELSE CASE WHEN n = 1 THEN format('the last %s here', what) ELSE format('the last %s %ss here', n, what) END
                || CASE WHEN mh_mib(least) = mh_mib(most) THEN format(' freed %s MiB', mh_mib(most))
                        ELSE format(' freed %s to %s MiB', mh_mib(least), mh_mib(most)) END
                || CASE WHEN regrew > 0 THEN format(', and %s grew back within ten minutes', regrew) ELSE '' END
           END
      FROM sums
$$;

CREATE OR REPLACE VIEW actions AS
SELECT c.created, c.host_id, h.name AS host, c.cmd_id AS action_id, c.action, c.state, c.dry_run,
       c.proc_id AS process, c.pid, c.actor, c.reason, c.alert_id, c.sent, c.done,
       c.rss_before AS rss_before_bytes, c.rss_after AS rss_after_bytes, c.swap_before AS swap_before_bytes,
       c.swap_after AS swap_after_bytes, c.held_us / 1e6::float8 AS held_seconds, c.detail, c.params,
       c.verdict, c.effects, c.history
  FROM command AS c JOIN host AS h USING (host_id);

-- What stands down: a rule whose kind of action gives nothing is not asked again for a while.
CREATE TABLE breaker (
    actor    text NOT NULL,             -- 'rule:frag'
    action   text NOT NULL,             -- COMMAND_ACTION_LIST's words
    opened   timestamptz NOT NULL,
    until    timestamptz NOT NULL,      -- then one is tried again
    results  int4 NOT NULL,             -- so many in a row gave nothing
    closed   timestamptz,               -- by hand; results of before it count no longer
    closed_by text,
    PRIMARY KEY (actor, action)
);
CREATE INDEX command_results ON command (actor, action, done DESC) WHERE NOT dry_run AND done IS NOT NULL;

-- Of the newest results of an actor's action, since its breaker was closed by hand: how many in a row
-- gave nothing, and when the last of these ended.
CREATE FUNCTION mh_bad_results(who text, what text, OUT bad int4, OUT last timestamptz)
LANGUAGE sql STABLE AS $$
    WITH results AS (
        SELECT c.done, coalesce(c.verdict, c.state) AS word
          FROM command AS c
         WHERE c.actor = who AND c.action = what AND NOT c.dry_run AND c.done IS NOT NULL
           AND c.done > coalesce((SELECT b.closed FROM breaker AS b WHERE b.actor = who AND b.action = what), '-infinity')
           AND coalesce(c.verdict, c.state) IN ('gained', 'ineffective', 'regrew', 'failed', 'unknown')
         ORDER BY c.done DESC
         LIMIT 64
    ), ranked AS (
        SELECT done, sum((word = 'gained')::int4) OVER (ORDER BY done DESC) AS good FROM results
    )
    SELECT count(*)::int4, max(done) FROM ranked WHERE good = 0
$$;

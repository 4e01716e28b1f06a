-- SPDX-License-Identifier: Apache-2.0
-- The newest results of that actor's action gave nothing, $4 times: opens its breaker, with an alert. Nothing
-- where it is open already, or was opened for the same results before.
WITH tripped AS (
    INSERT INTO breaker AS b (actor, action, opened, until, results)
    SELECT $1::text, $2::text, $3::timestamptz, $3::timestamptz + $5::int8 * interval '1 microsecond', r.bad
      FROM mh_bad_results($1::text, $2::text) AS r
     WHERE r.bad >= $4::int4 AND mh_fenced($6::int8)
       AND NOT EXISTS (SELECT FROM breaker AS o WHERE o.actor = $1::text AND o.action = $2::text AND o.opened >= r.last)
    ON CONFLICT (actor, action) DO UPDATE
       SET opened = excluded.opened, until = excluded.until, results = excluded.results, closed = NULL, closed_by = NULL
    RETURNING b.actor, b.action, b.opened, b.until, b.results
), alerted AS (
    INSERT INTO alert (key, rule, host_id, subject, service, level, state, opened, first_value, peak_value, last_value,
                       title, doc, fence)
    SELECT format('breaker|%s|%s', t.actor, t.action), 'breaker', NULL, 'fleet', '', 'mail', 'firing', t.opened, t.results,
           t.results, t.results,
           format('%s of %s stopped: %s in a row gave nothing', t.action, t.actor, t.results),
           jsonb_build_object('why', 'the same remedy gave nothing again and again', 'rule_text', '', 'explain', '',
                              'culprit', NULL, 'actions', '[]'::jsonb, 'until', t.until), $6::int8
      FROM tripped AS t
    ON CONFLICT (key) WHERE state = 'firing' DO UPDATE SET last_value = excluded.last_value, doc = excluded.doc,
                                                          title = excluded.title, fence = excluded.fence
)
SELECT actor::text, action::text, opened::timestamptz, until::timestamptz, results::int4, NULL::timestamptz, ''::text
  FROM tripped

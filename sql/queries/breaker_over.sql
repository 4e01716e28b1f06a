-- SPDX-License-Identifier: Apache-2.0
-- Alerts of breakers that are open no longer.
UPDATE alert AS a
   SET state = 'resolved', resolved = $1::timestamptz, resolved_value = a.last_value, fence = $2::int8
  FROM breaker AS b
 WHERE a.state = 'firing' AND a.rule = 'breaker' AND a.key = format('breaker|%s|%s', b.actor, b.action)
   AND (b.until <= $1::timestamptz OR b.closed IS NOT NULL) AND mh_fenced($2::int8)
RETURNING b.actor::text, b.action::text

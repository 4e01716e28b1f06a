-- SPDX-License-Identifier: Apache-2.0
-- By hand: what was before it counts no longer. One that is closed already keeps who closed it.
UPDATE breaker AS b
   SET closed = coalesce(b.closed, $3::timestamptz), closed_by = coalesce(b.closed_by, $4::text)
 WHERE b.actor = $1::text AND b.action = $2::text
RETURNING b.actor::text, b.action::text, b.opened::timestamptz, b.until::timestamptz, b.results::int4,
          b.closed::timestamptz, coalesce(b.closed_by, '')::text

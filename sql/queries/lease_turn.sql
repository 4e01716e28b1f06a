-- SPDX-License-Identifier: Apache-2.0
-- A sign of life, and the lease: kept, taken where it has run out, or taken over from an earlier
-- process of ours. Its number rises whenever it changes hands. All by the database's clock.
-- What a collector that is away received is kept until it is in chunks: by itself or by the leader.
-- $1 us, $2 our process, $3 microseconds of a lease, $4 our oldest batch in no chunk, $5 the number we had.
WITH beat AS (
    UPDATE collector SET seen = clock_timestamp(), oldest = $4::timestamptz
     WHERE collector_id = $1::int2 AND boot = $2::uuid
    RETURNING collector_id),
turn AS (
    UPDATE lease
       SET holder = $1::int2::text,
           fence = fence + CASE WHEN holder = $1::int2::text AND fence = $5::int8 THEN 0 ELSE 1 END,
           expires = clock_timestamp() + $3::int8 * interval '1 microsecond'
     WHERE name = 'leader' AND (expires < clock_timestamp() OR holder = $1::int2::text)
       AND EXISTS (SELECT FROM beat)
    RETURNING fence)
SELECT EXISTS (SELECT FROM beat)::bool,
       coalesce((SELECT fence FROM turn), 0)::int8,
       EXISTS (SELECT FROM collector
                WHERE collector_id <> $1::int2
                  AND seen > clock_timestamp() - 8 * $3::int8 * interval '1 microsecond')::bool,
       (SELECT min(oldest) FROM collector
         WHERE collector_id <> $1::int2)::timestamptz

-- SPDX-License-Identifier: Apache-2.0
-- What the other collectors stored after the places we read up to ($1 writers, $2 receive times): of
-- one writer in the order of its commits.
SELECT i.host_id::int4, i.epoch::int8, i.seq::int8, i.last::int8, i.rcv::timestamptz,
       i.skew_us::int8, i.d::bytea, i.writer::int2, i.codec::int2, i.t0::timestamptz
  FROM unnest($1::int4[], $2::timestamptz[]) AS v(writer, rcv),
       LATERAL (SELECT * FROM inbox AS b
                 WHERE b.writer = v.writer AND b.rcv > v.rcv
                 ORDER BY b.rcv LIMIT $3::int8) AS i

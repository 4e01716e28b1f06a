-- SPDX-License-Identifier: Apache-2.0
-- That nothing is lost and nothing is stored twice can be looked up: what agents say that they
-- produced, beside what is stored and what is told to be missing.

-- Streams of before this keep no start: of those only what the inbox still holds is judged.
ALTER TABLE agent_stream ADD created timestamptz;
ALTER TABLE agent_stream ALTER created SET DEFAULT now();
-- The highest number that the agent's greetings told of.
ALTER TABLE agent_stream ADD produced int8 NOT NULL DEFAULT 0;
-- Numbers that the agent was told are stored and that were not there at a later greeting: the
-- database went back (an old backup, a replica that was behind, fsync off).
ALTER TABLE agent_stream ADD lost int8 NOT NULL DEFAULT 0;

-- Last record of the batch; NULL = not noted then.
ALTER TABLE dead_letter ADD last int8;

-- How many numbers.
CREATE FUNCTION mh_numbers(r int8multirange) RETURNS int8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(upper(x) - lower(x)), 0)::int8 FROM unnest(r) AS x
$$;

-- The account of each stream, in sequence numbers, from the rows themselves:
--
--   produced = (checked_from - 1) + stored + gapped + dead_lettered + waiting + missing
--
-- ok says that none is missing, twice, beyond (stored, never acknowledged) or lost. The inbox is
-- dropped by the hour once it is sealed: what was in it lies before checked_from.
CREATE VIEW stream_account AS
WITH leaf AS (
    SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([^'']+)''\)')::timestamptz)
           AS oldest
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'inbox'::regclass AND NOT i.inhdetachpending
), batch AS (
    SELECT host_id, epoch, min(seq) AS first, sum(last - seq + 1)::int8 AS n,
           range_agg(int8range(seq, last, '[]')) AS r
      FROM inbox GROUP BY host_id, epoch
), dead AS (
    SELECT host_id, epoch, range_agg(int8range(seq, coalesce(last, seq), '[]')) AS r
      FROM dead_letter GROUP BY host_id, epoch
), hole AS (
    SELECT host_id, epoch, range_agg(int8range(from_seq, to_seq, '[]')) FILTER (WHERE reason <> 2) AS r,
           bool_or(reason = 2) AS unclean_end
      FROM gap GROUP BY host_id, epoch
), stream AS (
    SELECT s.host_id, s.epoch, s.last_seq, greatest(s.produced, s.last_seq) AS produced, s.lost,
           coalesce(h.unclean_end, false) AS unclean_end, coalesce(b.n, 0) AS n,
           coalesce(b.r, '{}') AS b, coalesce(d.r, '{}') AS d, coalesce(h.r, '{}') AS g,
           CASE WHEN s.created >= leaf.oldest THEN 1
                ELSE coalesce(b.first, s.last_seq + 1) END AS first
      FROM agent_stream AS s
     CROSS JOIN leaf
      LEFT JOIN batch AS b USING (host_id, epoch)
      LEFT JOIN dead AS d USING (host_id, epoch)
      LEFT JOIN hole AS h USING (host_id, epoch)
), scope AS (
    SELECT *, int8multirange(int8range(first, greatest(last_seq + 1, first))) AS all_of FROM stream
), account AS (
    SELECT host_id, epoch, produced, first AS checked_from,
           mh_numbers(all_of * b - g - d) AS stored,
           mh_numbers(all_of * g) + CASE WHEN unclean_end THEN produced - last_seq ELSE 0 END
               AS gapped,
           mh_numbers(all_of * d - g) AS dead_lettered,
           CASE WHEN unclean_end THEN 0 ELSE produced - last_seq END AS waiting,
           mh_numbers(all_of - b - g - d) AS missing,
           n - mh_numbers(b) AS twice,
           mh_numbers(b - int8multirange(int8range(NULL, last_seq, '[]'))) AS beyond,
           lost, unclean_end
      FROM scope
)
SELECT *, missing = 0 AND twice = 0 AND beyond = 0 AND lost = 0 AS ok FROM account;

INSERT INTO readable VALUES ('stream_account');

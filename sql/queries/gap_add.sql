INSERT INTO gap (host_id, epoch, from_seq, to_seq, records, reason, t_first, t_last)
SELECT host_id, epoch, from_seq, to_seq, records, reason::int2,
       nullif(t_first, timestamptz 'epoch'), nullif(t_last, timestamptz 'epoch')
  FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int4[],
              $7::timestamptz[], $8::timestamptz[])
       AS v(host_id, epoch, from_seq, to_seq, records, reason, t_first, t_last)
ON CONFLICT DO NOTHING

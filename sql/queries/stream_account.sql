-- produced = stored + gapped (and what waits, is set aside or older than the inbox), stream by
-- stream; the ones that are not whole come first. The view's comment has the equation.
SELECT host_id::int4, epoch::int8, produced::int8, checked_from::int8, stored::int8, gapped::int8,
       dead_lettered::int8, waiting::int8, missing::int8, twice::int8, beyond::int8, lost::int8,
       unclean_end::bool, ok::bool
  FROM stream_account
 ORDER BY ok, host_id, epoch

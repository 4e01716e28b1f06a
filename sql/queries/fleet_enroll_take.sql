-- Takes one use of a token that is neither expired nor used up.
UPDATE enroll_token
   SET uses_left = uses_left - 1
 WHERE hash = $1::bytea AND uses_left > 0 AND expires > now()
RETURNING token_id::int8

SELECT host_id::int4, uuid::uuid, name::text
  FROM host
 WHERE revoked IS NULL
 ORDER BY host_id

-- A session that was revoked, and one of a banned node, ends here: the earlier release knows neither.
DELETE FROM sessions WHERE revoked_at IS NOT NULL OR ek_hash IN (SELECT ek_hash FROM bans);
DROP TABLE bans;
DROP INDEX sessions_issued_at;
ALTER TABLE sessions DROP COLUMN renewal_basis;
ALTER TABLE sessions DROP COLUMN renewal_nonce;
ALTER TABLE sessions DROP COLUMN revoked_at;
ALTER TABLE sessions DROP COLUMN renewed_at;
ALTER TABLE sessions DROP COLUMN reattest_at;

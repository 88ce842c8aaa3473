ALTER TABLE sessions DROP COLUMN svid_key;

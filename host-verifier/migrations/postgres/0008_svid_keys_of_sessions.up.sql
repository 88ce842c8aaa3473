-- The key that the login has certified to live in the TPM, SubjectPublicKeyInfo in DER: X.509-SVIDs are issued for it alone. Sessions
-- of before have it in their renewal basis.
ALTER TABLE sessions ADD COLUMN svid_key BYTEA;

DROP TABLE svid_authorities;
DROP TABLE svid_bundles;

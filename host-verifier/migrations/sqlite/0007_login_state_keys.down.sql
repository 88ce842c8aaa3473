DROP TABLE login_state_keys;

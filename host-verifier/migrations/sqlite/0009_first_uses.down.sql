DROP TABLE first_uses;

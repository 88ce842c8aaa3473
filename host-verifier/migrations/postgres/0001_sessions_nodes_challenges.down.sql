DROP TABLE answered_challenges;
DROP TABLE sessions;
DROP TABLE nodes;

DROP TABLE node_boots;
DROP TABLE images;

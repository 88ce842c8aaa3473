DROP TABLE config_generation;
DROP TABLE cluster_config;

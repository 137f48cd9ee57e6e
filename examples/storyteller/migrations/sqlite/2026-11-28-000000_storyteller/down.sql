DROP TABLE stories;
DROP TABLE storytellers;
DROP TABLE users;
DROP TABLE app_settings;

--
-- How a test of the storage layer begins: in a database of its own, :database,
-- that no store serves, with :module for its functions.  It ends by going
-- \c :home and dropping the database.
--
\set module :srcdir '/out/storage_test.so'
SELECT current_database() AS home \gset
SET client_min_messages = error;
DROP DATABASE IF EXISTS :database;
CREATE DATABASE :database;
\c :database
SET client_min_messages = error;
CREATE EXTENSION tikv_fdw;

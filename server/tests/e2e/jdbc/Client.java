// What a Java program does over JDBC, against a running `siltstone serve`. Prints one line for each step;
// ends with an exception where an answer is wrong.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.Objects;
import java.util.Properties;
import java.util.TreeSet;

public class Client {
    static void same(String what, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", found " + actual);
        }
        System.out.println("ok " + what);
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", "siltstone");
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            define(connection);
            prepared(connection);
            types(connection);
            fetch(connection);
            catalog(connection);
            error(connection);
        }
    }

    static void define(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE readings (seen TIMESTAMP, place VARCHAR, value DOUBLE PRECISION, number BIGINT)"
                + " WITH (connector = 'push')");
            statement.execute("CREATE MATERIALIZED VIEW places AS"
                + " SELECT place, count(*) AS n, sum(number) AS total, avg(value) AS mean FROM readings GROUP BY place");
            int rows = statement.executeUpdate("INSERT INTO readings VALUES"
                + " (TIMESTAMP '2024-02-29 12:00:00', 'north', 1.5, 10),"
                + " (TIMESTAMP '2024-02-29 12:00:01', 'north', 2.5, 20),"
                + " (TIMESTAMP '2024-02-29 12:00:02', 'south', NULL, 30)");
            same("rows inserted", 3, rows);
        }
    }

    // The driver prepares on the server from the fifth execution on: seven cover both ways.
    static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT n, total FROM places WHERE place = ? AND n >= ?")) {
            for (int round = 0; round < 7; round++) {
                statement.setString(1, "north");
                statement.setLong(2, 1);
                try (ResultSet rows = statement.executeQuery()) {
                    if (!rows.next() || rows.getLong(1) != 2 || rows.getLong(2) != 30 || rows.next()) {
                        throw new AssertionError("prepared statement, round " + round);
                    }
                }
            }
            System.out.println("ok prepared statement");
        }
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO readings VALUES (?, ?, ?, ?)")) {
            statement.setTimestamp(1, Timestamp.valueOf("2024-03-01 00:00:00"));
            statement.setString(2, "east");
            statement.setDouble(3, 4.25);
            statement.setLong(4, 40);
            same("prepared insert", 1, statement.executeUpdate());
        }
    }

    static void types(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT seen, place, value, number FROM readings ORDER BY number")) {
            ResultSetMetaData columns = rows.getMetaData();
            same("type of seen", Types.TIMESTAMP, columns.getColumnType(1));
            same("type of place", Types.VARCHAR, columns.getColumnType(2));
            same("type of value", Types.DOUBLE, columns.getColumnType(3));
            same("type of number", Types.BIGINT, columns.getColumnType(4));
            rows.next();
            same("timestamp", Timestamp.valueOf("2024-02-29 12:00:00"), rows.getTimestamp(1));
            same("double", 1.5, rows.getDouble(3));
            rows.next();
            rows.next();
            rows.getDouble(3);
            same("null", true, rows.wasNull());
        }
    }

    static void fetch(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(100);
            long rows = 0;
            long sum = 0;
            try (ResultSet result = statement.executeQuery("SELECT value FROM generate_series(1, 1050) AS s(value)")) {
                while (result.next()) {
                    rows++;
                    sum += result.getLong(1);
                }
            }
            same("rows by fetch size", 1050L, rows);
            same("sum by fetch size", 1050L * 1051 / 2, sum);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void catalog(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        TreeSet<String> names = new TreeSet<>();
        try (ResultSet tables = about.getTables(null, "public", "%", null)) {
            while (tables.next()) {
                names.add(tables.getString("TABLE_NAME"));
            }
        }
        same("table in the catalog", true, names.contains("readings"));
        same("view in the catalog", true, names.contains("places"));
        TreeSet<String> columns = new TreeSet<>();
        try (ResultSet found = about.getColumns(null, "public", "readings", "%")) {
            while (found.next()) {
                columns.add(found.getString("COLUMN_NAME"));
            }
        }
        same("columns in the catalog", "[number, place, seen, value]", columns.toString());
    }

    static void error(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT * FROM nowhere");
            throw new AssertionError("an unknown table was answered");
        } catch (SQLException expected) {
            same("sqlstate of an unknown table", "42P01", expected.getSQLState());
        }
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT 1")) {
            rows.next();
            same("the connection goes on after an error", 1, rows.getInt(1));
        }
    }
}

// The JDBC driver against a running pipeline: prepared statements, types, metadata, errors.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Timestamp;

public class JdbcCheck {
    static void hold(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/dealerflow?user=dealerflow";
        try (Connection connection = DriverManager.getConnection(url)) {
            String dealer, lead;
            try (var statement = connection.createStatement();
                    var rows = statement.executeQuery("select dealer_id, lead_id, created_at, credit_score from leads where created_at is not null limit 1")) {
                hold(rows.next(), "a lead");
                dealer = rows.getString(1);
                lead = rows.getString(2);
                Timestamp created = rows.getTimestamp(3);
                hold(created != null, "a time");
            }
            try (var one = connection.prepareStatement("select lead_id from leads where dealer_id = ? and lead_id = ?")) {
                for (int i = 0; i < 8; i++) {
                    one.setString(1, dealer);
                    one.setString(2, lead);
                    try (var rows = one.executeQuery()) {
                        hold(rows.next() && rows.getString(1).equals(lead) && !rows.next(), "the lead alone");
                    }
                }
            }
            try (var several = connection.prepareStatement("select lead_id from leads where dealer_id = ? and lead_id = any(?)")) {
                for (int i = 0; i < 8; i++) {
                    several.setString(1, dealer);
                    several.setArray(2, connection.createArrayOf("text", new String[] {"x", lead}));
                    try (var rows = several.executeQuery()) {
                        hold(rows.next() && rows.getString(1).equals(lead) && !rows.next(), "the lead among several");
                    }
                }
            }
            try (var statement = connection.createStatement()) {
                statement.executeQuery("select * from nowhere");
                throw new AssertionError("there is no table nowhere");
            } catch (SQLException error) {
                hold(error.getSQLState().equals("42P01"), error.getSQLState());
            }
            connection.setAutoCommit(false);
            try (var statement = connection.createStatement(); var rows = statement.executeQuery("select 1")) {
                hold(rows.next() && rows.getInt(1) == 1, "one");
            }
            connection.commit();
            System.out.println(connection.getMetaData().getDriverName() + " " + connection.getMetaData().getDriverVersion());
        }
    }
}

// node-postgres against a running pipeline: parameters, named statements, types, errors.
const assert = require("assert");
const { Client } = require("pg");

(async () => {
  const client = new Client({ user: "dealerflow", database: "dealerflow" });
  await client.connect();
  const leads = await client.query("select dealer_id, lead_id, created_at, engagement from leads where created_at is not null limit 3");
  assert.strictEqual(leads.rowCount, 3);
  assert(leads.rows[0].created_at instanceof Date);
  const { dealer_id, lead_id } = leads.rows[0];
  for (let i = 0; i < 3; i++) {
    const one = await client.query({ name: "one", text: "select lead_id from leads where dealer_id = $1 and lead_id = $2", values: [dealer_id, lead_id] });
    assert.deepStrictEqual(one.rows, [{ lead_id }]);
  }
  const several = await client.query("select lead_id from leads where lead_id = any($1) and dealer_id = any($2::text[])", [[lead_id, "x"], [dealer_id]]);
  assert.deepStrictEqual(several.rows, [{ lead_id }]);
  const counted = await client.query("select count(*)::int as n from deals where price_cents > $1", [0]);
  assert(counted.rows[0].n > 0);
  await assert.rejects(client.query("select * from nowhere"), (error) => error.code === "42P01");
  await client.end();
  console.log("node-postgres", require("pg/package.json").version);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

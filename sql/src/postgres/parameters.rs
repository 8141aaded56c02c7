//! Parameters of prepared statements: their order, and the types in which clients send them.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion_postgres::arrow_pg::datatypes::{PG_OID_ALIAS_KEY, df, into_pg_type, pg_type_for_alias_kind};
use datafusion_postgres::pgwire;
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::error::{PgWireError, PgWireResult};

/// A parameter's types here and on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// The type that the plan wants; none if it takes any.
    pub(crate) own: Option<DataType>,
    /// The type that clients are told.
    pub(crate) wire: Type,
}

/// Parameters of one statement at most, as in PostgreSQL.
const PARAMETERS_MAX: usize = 65_535;

/// The parameters of a plan, in order. `declared` are the types that the client named when it prepared the statement.
pub(crate) fn parameters_of(plan: &LogicalPlan, declared: &[Option<Type>]) -> PgWireResult<Vec<Parameter>> {
    let failed = |error: datafusion::error::DataFusionError| PgWireError::ApiError(Box::new(error));
    let mut types = plan.get_parameter_types().map_err(failed)?;
    let mut wires: HashMap<String, Type> = HashMap::new();
    let mut look = |expression: &Expr| {
        if let Expr::Cast(cast) = expression
            && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
            && let Some(known) = types.get_mut(&placeholder.id)
            && known.is_none()
        {
            *known = Some(cast.field.data_type().clone());
        }
        // Numbers of catalog objects are kept as plain integers and travel as what they are.
        if let Expr::Placeholder(placeholder) = expression
            && let Some(field) = placeholder.field.as_deref().filter(|field| field.data_type() == &DataType::Int32)
            && let Some(wire) = field.metadata().get(PG_OID_ALIAS_KEY).and_then(|kind| pg_type_for_alias_kind(kind))
        {
            wires.insert(placeholder.id.clone(), wire);
        }
        Ok(TreeNodeRecursion::Continue)
    };
    let mut lists: Vec<(String, DataType)> = Vec::new();
    plan.apply(|node| {
        let columns = merge_schema(&node.inputs());
        for expression in node.expressions() {
            expression.apply(&mut look)?;
            expression.apply(|expression| {
                lists.extend(list_of_any(expression, &columns));
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(failed)?;
    for (id, list) in lists {
        types.entry(id).or_default().get_or_insert(list);
    }
    let number = |id: &str| id.trim_start_matches('$').parse::<usize>().unwrap_or(0);
    let count = types.keys().map(|id| number(id)).max().unwrap_or(0).min(PARAMETERS_MAX);
    (1..=count)
        .map(|place| {
            let id = format!("${place}");
            let own = types.get(&id).cloned().flatten();
            let declared = declared.get(place - 1).cloned().flatten().filter(|declared| *declared != Type::UNKNOWN);
            let wire = match (wires.remove(&id), &own, declared) {
                (Some(wire), _, _) => wire,
                (None, Some(own), _) => into_pg_type(own)?,
                (None, None, Some(declared)) => declared,
                (None, None, None) => Type::TEXT,
            };
            Ok(Parameter { own, wire })
        })
        .collect()
}

/// The parameter that holds the list of `value = any($1)`, which the engine plans as a function, and its type: that of the value, in a list.
fn list_of_any(expression: &Expr, columns: &DFSchema) -> Option<(String, DataType)> {
    let Expr::ScalarFunction(function) = expression else { return None };
    let [Expr::Placeholder(placeholder), value] = function.args.as_slice() else { return None };
    let is_any = function.name() == "array_has" && placeholder.field.is_none();
    let value = is_any.then(|| value.get_type(columns).ok()).flatten()?;
    Some((placeholder.id.clone(), DataType::new_list(value, true)))
}

/// The values that a client bound.
pub(crate) fn values_of<S: Clone>(portal: &Portal<S>, parameters: &[Parameter]) -> PgWireResult<ParamValues> {
    let own: Vec<Option<&DataType>> = parameters.iter().map(|parameter| parameter.own.as_ref()).collect();
    let wire: Vec<Option<&Type>> = parameters.iter().map(|parameter| Some(&parameter.wire)).collect();
    df::deserialize_parameters_with_server_types(portal, &own, &wire)
}

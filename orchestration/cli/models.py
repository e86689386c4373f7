"""Commands on the churn models: `models` and `models rollback`."""

from typing import TYPE_CHECKING

import click
from rich.table import Table

from orchestration.cli.console import OUT, WIDE
from orchestration.config.loading import load

if TYPE_CHECKING:
    pass

# Refused challengers that `northstar models` shows.
_LAST_REFUSALS = 10


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the churn models, the newest champion first; `models rollback` brings an earlier one back."""
    if context.invoked_subcommand is not None:
        return
    from orchestration.model_store import CHURN, ModelStore

    store = ModelStore(load().home, CHURN)
    table = Table("model", "trained through", "promoted", "log-loss", "AUC", box=None)
    for model in store.models():
        metrics = model.card.get("metrics", {})
        table.add_row(
            f"{model.model_id}{' (champion)' if model.is_champion else ''}",
            str(model.card.get("trained_through", "")),
            model.promoted_at or "never",
            *(f"{metrics[name]:.4f}" if metrics.get(name) is not None else "" for name in ("log_loss", "auc")),
        )
    WIDE.print(table)
    for refusal in store.refusals()[-_LAST_REFUSALS:]:
        OUT.print(f"refused {refusal['model_id']}: {refusal['decision']['reason']}", markup=False)


@models.command("rollback")
@click.argument("model_id", required=False)
def rollback_model(model_id: str | None) -> None:
    """Make an earlier champion score again: the one before, or the one named."""
    from orchestration.churn import load_model
    from orchestration.model_store import CHURN, ModelStore
    from orchestration.publishing.lock import WriterLock

    settings = load()
    with WriterLock(settings.home, "models rollback"):
        chosen = ModelStore(settings.home, CHURN).rollback(model_id, load_model)
    OUT.print(f"champion is {chosen}; the next night scores with it", markup=False)

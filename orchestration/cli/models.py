"""Commands on the stored models of ML steps: `models` and `models rollback`."""

from typing import TYPE_CHECKING

import click
from rich.table import Table

from orchestration.base.errors import UserError
from orchestration.cli.console import OUT, WIDE
from orchestration.config.loading import load

if TYPE_CHECKING:
    from orchestration.config.settings import Settings
    from orchestration.ml_steps.model_store import ModelStore
    from orchestration.ml_steps.step import Step

# Refused challengers that `northstar models` shows.
_LAST_REFUSALS = 10


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the stored models, the newest champion first; `models rollback` brings an earlier one back."""
    if context.invoked_subcommand is not None:
        return
    settings = load()
    steps = _stored(settings)
    for name, _, store in steps:
        table = Table("model", "trained through", "promoted", "log-loss", "AUC", box=None, title=name if len(steps) > 1 else None)
        for model in store.models():
            metrics = model.card.get("metrics", {})
            table.add_row(
                f"{model.model_id}{' (champion)' if model.is_champion else ''}",
                str(model.card.get("trained_through", "")),
                model.promoted_at or "never",
                *(f"{metrics[figure]:.4f}" if metrics.get(figure) is not None else "" for figure in ("log_loss", "auc")),
            )
        WIDE.print(table)
        for refusal in store.refusals()[-_LAST_REFUSALS:]:
            OUT.print(f"refused {refusal['model_id']}: {refusal['decision']['reason']}", markup=False)


@models.command("rollback")
@click.argument("model_id", required=False)
def rollback_model(model_id: str | None) -> None:
    """Make an earlier champion score again: the one before, or the one named."""
    from orchestration.publishing.lock import WriterLock

    settings = load()
    steps = _stored(settings)
    holding = [found for found in steps if any(model.model_id == model_id for model in found[2].models())]
    # An unknown model is refused by the store, which names the known ones.
    chosen = holding or (steps if len(steps) == 1 else [])
    if len(chosen) != 1:
        raise UserError(f"name the model to bring back: there are models of {', '.join(name for name, *_ in steps)}")
    _, step, store = chosen[0]
    with WriterLock(settings.home, "models rollback"):
        champion = store.rollback(model_id, step.check)
    OUT.print(f"champion is {champion}; the next night scores with it", markup=False)


def _stored(settings: "Settings") -> "list[tuple[str, Step, ModelStore]]":
    """Steps that store models, by name."""
    from orchestration.ml_steps.registry import STEPS, store_of

    return [(step.name, step, store_of(settings.home, step)) for step in STEPS if step.stores_models]

"""Where an `ActionCLIP` gets the names of its classes."""

from typing import Any

from mmengine.hooks import Hook

from clipkit.engine.registry import HOOKS


@HOOKS.register_module()
class ActionClassesHook(Hook):
    """Gives a model without `classes` those of its data: of the training data before training, of the data that is
    tested before each test, so that a model is tested on other actions than it was trained on (zero-shot)."""

    def before_train(self, runner: Any) -> None:
        runner.bare_model.set_classes(runner.train_dataloader.dataset.metainfo["classes"])

    def before_val(self, runner: Any) -> None:
        runner.bare_model.set_test_classes(runner.val_dataloader.dataset.metainfo["classes"])

    def before_test(self, runner: Any) -> None:
        runner.bare_model.set_test_classes(runner.test_dataloader.dataset.metainfo["classes"])

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0002_protect_drivers_that_hold_runs"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="signal",
            options={"ordering": ["id"]},
        ),
        migrations.RemoveIndex(
            model_name="signal",
            name="signal_lookup",
        ),
        migrations.AddField(
            model_name="signal",
            name="idempotency_key",
            field=models.CharField(blank=True, max_length=200, null=True),
        ),
        migrations.AddField(
            model_name="signal",
            name="step",
            field=models.BinaryField(blank=True, help_text="The step that took it.", max_length=10, null=True),
        ),
        migrations.AddField(
            model_name="signal",
            name="uuid",
            field=models.UUIDField(default=uuid.uuid4, editable=False, unique=True),
        ),
        migrations.AlterField(
            model_name="signal",
            name="name",
            field=models.CharField(max_length=255),
        ),
        migrations.AlterField(
            model_name="signal",
            name="run",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="signals",
                to="runs.run",
            ),
        ),
        migrations.AddIndex(
            model_name="signal",
            index=models.Index(
                condition=models.Q(("consumed_at", None)),
                fields=["organization", "name", "business_key", "id"],
                name="kept_signal",
            ),
        ),
        migrations.AddIndex(
            model_name="signal",
            index=models.Index(fields=["run", "step"], name="signal_by_step"),
        ),
        migrations.AddConstraint(
            model_name="signal",
            constraint=models.UniqueConstraint(
                fields=("organization", "idempotency_key"), name="signal_idempotency_key"
            ),
        ),
    ]

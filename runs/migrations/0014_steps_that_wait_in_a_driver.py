from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0013_versions_that_a_run_had"),
    ]

    operations = [
        migrations.AddField(
            model_name="driver",
            name="not_called",
            field=models.JSONField(
                default=dict,
                editable=False,
                help_text="As of its last beat, by the id of a run: the steps that wait for a place, or for their "
                "executor.",
            ),
        ),
    ]

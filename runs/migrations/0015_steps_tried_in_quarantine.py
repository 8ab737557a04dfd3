from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0014_steps_that_wait_in_a_driver"),
    ]

    operations = [
        migrations.AddField(
            model_name="step",
            name="tried_at",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="Since when its tool is under way in quarantine.", null=True
            ),
        ),
        migrations.AddField(
            model_name="step",
            name="doubts",
            field=models.PositiveSmallIntegerField(
                db_default=0, editable=False, help_text="Workers that died in quarantine while it was not alone there."
            ),
        ),
    ]

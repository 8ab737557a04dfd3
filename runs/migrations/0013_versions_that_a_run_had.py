from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Cast, Concat


def remember_the_first(apps, schema_editor):
    """Of runs that were migrated before; what they had in between is not known here."""
    runs = apps.get_model("runs", "Run").objects.filter(begun_with__isnull=False)
    first = Concat(Cast(F("begun_with_id"), models.TextField()), Value(" "))
    runs.update(former_versions=first)


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0012_version_that_a_run_began_with"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="former_versions",
            field=models.TextField(
                default="",
                editable=False,
                help_text="The ids of the versions that it was migrated away from, or that the run had which it is a "
                "fork of: what one of them marked secret stays so.",
            ),
        ),
        migrations.RunPython(remember_the_first, migrations.RunPython.noop),
    ]
